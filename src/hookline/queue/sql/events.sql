-- events: the events with these ids, all of the day whose partition stands for `events_day`: a plan
-- over all days would lock every one of them, for each claim.
select id, pbx, company, subject, time, payload, splice, traceparent,
    erased_at is not null as erased
from events_day
where id = any($1::text::uuid[])
