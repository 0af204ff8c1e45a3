-- partitions: the names of all partitions of the tables that are partitioned by day.
select child.relname
from pg_inherits
join pg_class as child on child.oid = pg_inherits.inhrelid
where inhparent in ('events'::regclass, 'deliveries'::regclass, 'attempts'::regclass)
