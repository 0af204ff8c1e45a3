-- forget_keys: drop at most $2 digests whose events are older than the duplicate window's edge $1.
delete from event_keys
where ctid = any(array(
    select ctid
    from event_keys
    where event_id < $1::uuid
    limit $2::int
))
