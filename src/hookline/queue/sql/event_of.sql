-- event_of: the event of a delivery that waits, or finished in the partition `deliveries_day`.
select event_id
from pending
where id = $1::uuid
union all
select event_id
from deliveries_day
where id = $1::uuid
