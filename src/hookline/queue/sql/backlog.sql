-- backlog: about how many deliveries are pending, as the statistics have it. A crash forgets the
-- counts; then the last vacuum's stands in until something is counted again.
select
    case
        when counted.n_tup_ins + counted.n_tup_del > 0 then counted.n_live_tup
        else greatest(pg_class.reltuples, 0)::bigint
    end as backlog
from pg_class
join pg_stat_user_tables as counted on counted.relid = pg_class.oid
where pg_class.oid = 'pending'::regclass
