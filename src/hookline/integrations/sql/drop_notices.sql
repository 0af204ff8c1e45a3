-- drop_notices: remove notices older than :oldest, beyond the newest :most, or :each of a tenant.
delete from notices
where told_at < now() - cast(:oldest as interval)
    or id <= (select id from notices order by id desc offset :most limit 1)
    or id in (
        select id
        from (
            select id, row_number() over (
                partition by pbx, case when pbx is null then company end order by id desc
            ) as place
            from notices
        ) as of_tenant
        where place > :each
    )
