-- append: store events that are new, with their deliveries, if the caller's snapshot is current.
-- One row comes back: the current revision, and the ids of the events stored (none if it differs
-- from $1). A digest whose event is older than $2, the duplicate window's edge, counts as new.
-- Digests are inserted in order, so that two batches with the same ones cannot deadlock.
with current as (
    select value from revision
),
incoming as (
    select *
    from unnest(
        $3::text::uuid[], $4::text::uuid[], $5::text::text[], $6::text::text[],
        $7::text::text[], $8::text::text[], $9::text::bigint[], $10::bytea[], $11::text::int[],
        $12::text::text[]
    ) as event (id, digest, pbx, company, type, subject, time, payload, splice, skipped)
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
    insert into events (id, pbx, company, type, subject, time, payload, splice, skipped)
    select id, pbx, company, type, subject, time, payload, splice, skipped
    from incoming
    where id in (select event_id from fresh)
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, attempts, claims, once, due_at, lease
    )
    select
        id, event_id, integration_id, type, ordering, 0,
        case when leased then 1 else 0 end,
        false,
        case when leased then now() + make_interval(secs => $13::float8) else now() end,
        case when leased then $14::bigint end
    from unnest(
        $15::text::uuid[], $16::text::uuid[], $17::text::text[], $18::text::text[],
        $19::text::text[], $20::text::bool[]
    ) as delivery (id, event_id, integration_id, type, ordering, leased)
    where event_id in (select event_id from fresh)
)
select
    (select value from current) as revision,
    array(select event_id from fresh) as fresh
