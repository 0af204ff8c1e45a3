-- locked_subjects: those of `seen` that nobody else has locked, and that are as they were seen.
locked as (
    select seen.integration_id, seen.ordering, current.place
    from seen
    cross join lateral (
        select ctid as place, version
        from subjects
        where subjects.integration_id = seen.integration_id and subjects.ordering = seen.ordering
        limit 1
        for update skip locked
    ) as current
    where current.version = seen.version
)
