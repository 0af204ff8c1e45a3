-- replay: queue deliveries anew, for a job, as append does: behind what waits, in the order given. Their
-- events are locked until then, so that none is removed meanwhile; one that was is left out.
with kept as (
    select id
    from events
    where id = any(cast(:event_ids as uuid[]))
        and id >= cast(:first as uuid) and id <= cast(:last as uuid)  -- their days alone
    for key share
),
incoming as (
    select *
    from unnest(
        cast(:ids as uuid[]), cast(:event_ids as uuid[]), cast(:types as text[]),
        cast(:orderings as text[]), cast(:sizes as int[]), cast(:omitted as text[])
    ) with ordinality as each (id, event_id, type, ordering, payload_bytes, omit, place)
    where event_id in (select id from kept)
),
queued as (
    insert into pending (
        id, event_id, integration_id, type, ordering, payload_bytes, attempts, claims, once, due_at,
        replay, omit
    )
    select
        id, event_id, :integration_id, type, ordering, payload_bytes, 0, 0, false, now(),
        cast(:job_id as uuid), cast(omit as text[])
    from incoming
    order by place
    returning integration_id, ordering, position
)
insert into subjects (integration_id, ordering, due_at, position)
select integration_id, ordering, now(), min(position)
from queued
where ordering is not null
group by integration_id, ordering
order by integration_id, ordering
on conflict (integration_id, ordering) do update set version = subjects.version + 1
