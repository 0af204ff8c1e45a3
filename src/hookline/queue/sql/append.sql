-- append: store events that are new, with their deliveries, if the caller's snapshot is current.
-- One row comes back: the current revision, and the ids of the events stored (none if it differs
-- from $1). A digest whose event is older than $2, the duplicate window's edge, counts as new.
-- Digests and subjects are inserted in order, so that two batches with the same ones cannot deadlock.
-- Positions follow the deliveries' own order. $19 has the lease under which each is to be born, if any.
-- Nothing is born leased in the lanes that come back as `behind`: something of theirs is due already,
-- and goes first. Columns that no delivery of the batch
-- has a value for ($21 to $23) may be empty arrays, as may $24, which no event has where traces are off.
with current as (
    select value from revision
),
incoming as (
    select *
    from unnest(
        $3::text::uuid[], $4::text::uuid[], $5::text::text[], $6::text::text[],
        $7::text::text[], $8::text::text[], $9::text::bigint[], $10::bytea[], $11::text::int[],
        $12::text::text[], $24::text::text[]
    ) as event (
        id, digest, pbx, company, type, subject, time, payload, splice, skipped, traceparent
    )
    where (select value from current) = $1::bigint
),
fresh as (
    insert into event_keys as known (digest, event_id)
    select digest, id
    from incoming
    order by digest
    on conflict (digest) do update
        set event_id = excluded.event_id
        where known.event_id < $2::uuid
    returning event_id
),
stored as (
    insert into events (
        id, pbx, company, type, subject, time, payload, splice, skipped, traceparent
    )
    select id, pbx, company, type, subject, time, payload, splice, skipped, traceparent
    from incoming
    where id in (select event_id from fresh)
),
delivery as (
    select *
    from unnest(
        $14::text::uuid[], $15::text::uuid[], $16::text::text[], $17::text::text[],
        $18::text::text[], $19::text::bigint[], $20::text::int[], $21::text::float8[],
        $22::text::uuid[], $23::text::text[]
    ) with ordinality as each (
        id, event_id, integration_id, type, ordering, lease, payload_bytes, max_age,
        replacement_key, omit, place
    )
    where event_id in (select event_id from fresh)
),
behind as (
    select lane.integration_id
    from (select distinct integration_id from delivery where lease is not null) as lane
    cross join lateral (  -- one look into an index for each lane: `exists` may become a join with all
        select
        from pending
        where pending.integration_id = lane.integration_id
            and leased_until is null and ordering is null and due_at <= now()
        order by due_at, position
        limit 1
    ) as due
),
born as (
    select *,
        lease is not null and integration_id <> all(array(select integration_id from behind)) as held
    from delivery
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, payload_bytes, attempts, claims, once, due_at,
        lease, leased_until, stale_at, replacement_key, omit
    )
    select
        id, event_id, integration_id, type, ordering, payload_bytes, 0,
        case when held then 1 else 0 end,
        false, now(),
        case when held then born.lease end,
        case when held then now() + make_interval(secs => $13::float8) end,
        now() + make_interval(secs => max_age), replacement_key, omit::text[]
    from born
    order by place
    returning integration_id, ordering, position
),
waiting as (
    insert into subjects (integration_id, ordering, due_at, position)
    select integration_id, ordering, now(), min(position)
    from queued
    where ordering is not null
    group by integration_id, ordering
    order by integration_id, ordering
    on conflict (integration_id, ordering) do update set version = subjects.version + 1
)
select
    (select value from current) as revision,
    array(select event_id from fresh) as fresh,
    array(select integration_id from behind) as behind
