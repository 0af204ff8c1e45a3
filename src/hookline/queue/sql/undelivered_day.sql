-- undelivered_day: whether a pending delivery, or the event of one, has an id from $1 up to $2.
select
    exists (select from pending where event_id >= $1::uuid and event_id < $2::uuid)
    or exists (select from pending where id >= $1::uuid and id < $2::uuid)
