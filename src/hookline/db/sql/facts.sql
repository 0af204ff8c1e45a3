-- facts: a database's server, size, sessions, and the days that it keeps.
select
    current_setting('server_version') as version,
    current_setting('server_encoding') as encoding,
    pg_database_size(current_database()) as bytes,
    current_setting('max_connections')::int as most_connections,
    (select count(*) from pg_stat_activity where datname = current_database()) as connections,
    days.kept,
    days.oldest,
    days.newest
from (
    select count(*) as kept, min(child.relname) as oldest, max(child.relname) as newest
    from pg_inherits
    join pg_class as child on child.oid = pg_inherits.inhrelid
    where inhparent = to_regclass('events')
) as days
