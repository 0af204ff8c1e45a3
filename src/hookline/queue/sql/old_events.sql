-- old_events: lock at most $3 events of the PBX $1 with ids above $2, oldest first, of the day whose
-- partition stands for `events_day`: those of which nothing is pending, and that nobody else uses.
select id
from events_day as event
where pbx = $1::text and id > $2::uuid
    and not exists (select from pending where pending.event_id = event.id)
order by id
limit $3::int
for update skip locked
