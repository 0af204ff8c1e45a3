-- old_deliveries: the finished deliveries of the events $1, from the id $2 on: those of replays came on
-- later days.
select id
from deliveries
where event_id = any($1::uuid[]) and id >= $2::uuid
