-- faults: what a server and this session's role are like, to tell whether Hookline can work with them;
-- `owner` is the role that owns Hookline's tables, where this one may not act as it.
select
    current_setting('server_version_num')::int as number,
    current_setting('server_version') as version,
    current_setting('server_encoding') as encoding,
    pg_is_in_recovery() as standby,
    current_setting('transaction_read_only')::bool as read_only,
    current_user as role,
    current_schema() as schema,
    coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
    (
        select pg_get_userbyid(relowner) from pg_class
        where oid = to_regclass('events') and not pg_has_role(relowner, 'usage')
    ) as owner
