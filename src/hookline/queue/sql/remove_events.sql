-- remove_events: remove the events $1, all of the day whose partition stands for `events_day`; returns
-- whether a delivery of any is pending, made due again or replayed after they were looked for: then
-- none of it must be committed.
with removed as (
    delete from events_day
    where id = any($1::uuid[])
)
select exists (select from pending where event_id = any($1::uuid[]))
