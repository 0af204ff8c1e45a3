-- unordered: deliveries of these lanes that wait outside of the order, at most $2 of a lane.
select found.id, found.event_id
from unnest($1::text[]) as lane (integration_id)
cross join lateral (
    select id, event_id
    from pending
    where pending.integration_id = lane.integration_id
        and leased_until is null and ordering is null
    order by due_at, position
    limit $2::int
) as found
