-- wake: have the subjects of `freed` (integration_id, ordering) looked at anew: their first delivery
-- may be another, or free. They are locked in order, as append does it: no deadlocks.
woken as (
    update subjects
    set due_at = to_timestamp(0), version = version + 1
    where ctid = any(array(
        select subject.place
        from (
            select distinct integration_id, ordering
            from freed
            where ordering is not null
            order by integration_id, ordering
        ) as changed
        cross join lateral (
            select ctid as place
            from subjects
            where subjects.integration_id = changed.integration_id
                and subjects.ordering = changed.ordering
            limit 1
            for update
        ) as subject
    ))
)
