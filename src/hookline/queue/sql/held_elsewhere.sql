-- held_elsewhere: which of these lanes another engine than $3 holds deliveries of, that must end before
-- anything else of the lane may start: of lanes without order ($1) any, of lanes that keep it ($2)
-- those that are outside of it. A lease that ran out counts until it is freed (see expire): before
-- that no claim finds its delivery, and what came later would go first.
select distinct integration_id
from pending
where leased_until is not null
    and lease >> 32 <> $3::bigint
    and (
        integration_id = any($1::text[])
        or (integration_id = any($2::text[]) and ordering is null)
    )
