-- waiting: each integration with deliveries that nobody holds, in how many seconds the first is due,
-- and whether those keep order. Loose index scans: one index descent for each integration, however
-- many rows it has.
with recursive lane as (
    (
        select integration_id, due_at
        from pending
        where leased_until is null and ordering is null
        order by integration_id, due_at
        limit 1
    )
    union all
    select next.integration_id, next.due_at
    from lane
    cross join lateral (
        select pending.integration_id, pending.due_at
        from pending
        where pending.integration_id > lane.integration_id and leased_until is null and ordering is null
        order by pending.integration_id, pending.due_at
        limit 1
    ) as next
),
ordered_lane as (
    (
        select integration_id, due_at
        from subjects
        order by integration_id, due_at
        limit 1
    )
    union all
    select next.integration_id, next.due_at
    from ordered_lane
    cross join lateral (
        select subjects.integration_id, subjects.due_at
        from subjects
        where subjects.integration_id > ordered_lane.integration_id
        order by subjects.integration_id, subjects.due_at
        limit 1
    ) as next
)
select integration_id, false as ordered, extract(epoch from due_at - now())::float8 as due_in
from lane
union all
select integration_id, true, extract(epoch from due_at - now())::float8
from ordered_lane
