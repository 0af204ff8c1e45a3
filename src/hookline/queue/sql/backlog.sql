-- backlog: how many deliveries are pending. Counted while the table has 16 MiB at most, which takes
-- milliseconds; above, what the statistics have, which are seconds late. A crash forgets those; then
-- the last vacuum's stand in until something is counted again.
select
    case
        when pg_relation_size(pg_class.oid) <= 16 * 1024 * 1024 then (select count(*) from pending)
        when counted.n_tup_ins + counted.n_tup_del > 0 then counted.n_live_tup
        else greatest(pg_class.reltuples, 0)::bigint
    end as backlog
from pg_class
join pg_stat_user_tables as counted on counted.relid = pg_class.oid
where pg_class.oid = 'pending'::regclass
