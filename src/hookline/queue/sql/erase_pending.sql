-- erase_pending: end deliveries of these events that nobody holds, as skipped; :code is what is counted
-- of each. Returns how many there were.
with free as (
    select id
    from pending
    where event_id = any(cast(:event_ids as uuid[])) and (leased_until is null or leased_until <= now())
    order by id
    for update skip locked
),
freed as (
    delete from pending
    where id = any(array(select id from free))
    returning
        id, event_id, integration_id, type, attempts, ordering, omit, replay, once,
        'erased' as reason, cast(:code as int) as code
),
-- include skipped
select count(*) from freed
