-- kept_days: the names of the events' first and last partition; the other tables have the same days.
select min(child.relname), max(child.relname)
from pg_inherits
join pg_class as child on child.oid = pg_inherits.inhrelid
where inhparent = 'events'::regclass
