-- waiting_before: whose pending deliveries, or the events of them, have ids below one.
select distinct integration_id
from pending
where event_id < :id or id < :id
