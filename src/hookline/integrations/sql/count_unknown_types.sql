-- count_unknown_types: add to how often each name that is in no catalogue was seen.
insert into unknown_event_types as known (name, count)
select name, count
from unnest(cast(:names as text[]), cast(:counts as bigint[])) as seen (name, count)
order by name
on conflict (name) do update
set count = known.count + excluded.count, last_seen_at = now()
