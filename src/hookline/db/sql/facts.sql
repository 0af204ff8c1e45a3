-- facts: a database's server, size, sessions, and the days that it keeps. Of the limits of sessions
-- (the server's, this database's, this role's) it names the one that leaves the fewest.
with sessions as (
    select datname, usename from pg_stat_activity where datname is not null
),
limits as (
    select
        'server' as whose,
        (select count(*) from sessions) as used,
        (
            select sum(case name when 'max_connections' then setting::int else -setting::int end)
            from pg_settings
            where name in (
                'max_connections', 'superuser_reserved_connections', 'reserved_connections'
            )
        ) as most
    union all
    select 'database', (select count(*) from sessions where datname = database.datname), datconnlimit
    from pg_database as database
    where database.datname = current_database() and datconnlimit >= 0
    union all
    select 'role', (select count(*) from sessions where usename = rolname), rolconnlimit
    from pg_roles
    where rolname = session_user and rolconnlimit >= 0
)
select
    current_setting('server_version') as version,
    current_setting('server_encoding') as encoding,
    pg_database_size(current_database()) as bytes,
    narrowest.whose as limited_by,
    narrowest.used as connections,
    narrowest.most as most_connections,
    days.kept,
    days.oldest,
    days.newest
from (
    select count(*) as kept, min(child.relname) as oldest, max(child.relname) as newest
    from pg_inherits
    join pg_class as child on child.oid = pg_inherits.inhrelid
    where inhparent = to_regclass('events')
) as days
cross join (select whose, used, most from limits order by most - used limit 1) as narrowest
