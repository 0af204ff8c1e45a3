-- retry: make a delivery due now: a waiting one sooner, a finished one for one more attempt.
-- One row comes back where there is such a delivery and its event is still stored.
-- $2 tells whether its lane keeps order: what is finished goes before all that waits of its subject.
-- What was finished is sent however old it is, and replaced by nothing: somebody wants it.
-- An attempt that was not yet due is one by hand, and counts as none of the automatic ones.
-- The partitions of its day stand for `deliveries_day` and `attempts_day`, that of its event $3 for
-- `events_day`.
with found as (
    select subject, octet_length(payload) as payload_bytes
    from events_day
    where id = $3::uuid and erased_at is null
),
reopened as (
    delete from deliveries_day
    where id = $1::uuid and exists (select from found)
    returning id, event_id, integration_id, type, attempts, omit, replay
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, position, payload_bytes, attempts, claims,
        once, due_at, omit, replay, last_error
    )
    select
        id, event_id, integration_id, type, case when $2::bool then subject end, 0, payload_bytes,
        attempts, attempts, true, now(), omit, replay,
        (
            select error
            from attempts_day
            where delivery_id = $1::uuid
            order by number desc
            limit 1
        )
    from reopened
    cross join found
    returning id, integration_id, ordering
),
made_due as (
    update pending
    set
        manual = manual + case when leased_until is null and due_at > now() then 1 else 0 end,
        due_at = case when leased_until is null then least(due_at, now()) else due_at end
    where id = $1::uuid
    returning id, integration_id, ordering
),
freed as (
    select integration_id, ordering from made_due
),
-- include wake,
reopened_subject as (
    insert into subjects (integration_id, ordering, due_at, position)
    select integration_id, ordering, to_timestamp(0), 0
    from queued
    where ordering is not null
    on conflict (integration_id, ordering)
        do update set due_at = to_timestamp(0), version = subjects.version + 1
)
select id from queued
union all
select id from made_due
