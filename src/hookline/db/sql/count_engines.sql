-- count_engines: the places that engines hold, and which is this session's. One whose session said
-- nothing for $2 seconds is left out.
select lock.objid::int as place, lock.pid = pg_backend_pid() as mine
from pg_locks as lock
left join pg_stat_activity as session on session.pid = lock.pid
where lock.locktype = 'advisory'
    and lock.database = (select oid from pg_database where datname = current_database())
    and lock.classid = $1::int::oid
    and lock.objsubid = 2
    and lock.granted
    and coalesce(
        session.state_change > clock_timestamp() - make_interval(secs => $2::float8), true
    )
order by place
