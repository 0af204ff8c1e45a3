-- retry: make a delivery due now: a waiting one sooner, a finished one for one more attempt.
-- One row comes back where there is such a delivery and its event is still stored.
-- $2 tells whether its lane keeps order.
with reopened as (
    delete from deliveries
    using events
    where deliveries.id = $1::uuid and events.id = deliveries.event_id
    returning
        deliveries.id, deliveries.event_id, deliveries.integration_id, deliveries.type,
        deliveries.attempts, case when $2::bool then events.subject end as ordering
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, attempts, claims, once, due_at, lease
    )
    select id, event_id, integration_id, type, ordering, attempts, attempts, true, now(), null
    from reopened
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
