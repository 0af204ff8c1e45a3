-- retry: make a delivery due now: a waiting one sooner, a finished one for one more attempt.
-- One row comes back where there is such a delivery and its event is still stored.
-- $2 tells whether its lane keeps order.
with found as (
    select event.subject
    from deliveries
    cross join lateral (
        select subject
        from events
        where events.id = deliveries.event_id
        limit 1
    ) as event
    where deliveries.id = $1::uuid
),
reopened as (
    delete from deliveries
    where id = $1::uuid and exists (select from found)
    returning id, event_id, integration_id, type, attempts
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, attempts, claims, once, due_at, lease
    )
    select
        id, event_id, integration_id, type, case when $2::bool then subject end,
        attempts, attempts, true, now(), null
    from reopened
    cross join found
    returning id
),
hastened as (
    update pending
    set due_at = case when lease is null then least(due_at, now()) else due_at end
    where id = $1::uuid
    returning id
)
select id from queued
union all
select id from hastened
