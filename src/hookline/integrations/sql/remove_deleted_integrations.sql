-- remove_deleted_integrations: remove at most `most` integrations that were deleted before `edge`,
-- with their roll-ups: nothing of theirs is pending.
with gone as (
    delete from integrations
    where id = any(array(
        select id
        from integrations
        where deleted_at < :edge
            and not exists (
                select from pending
                where (leased_until is not null) = any(array[false, true])  -- so the index begins
                    and pending.integration_id = integrations.id
            )
        limit :most
    ))
    returning id
),
uncounted as (
    delete from roll_ups where integration_id = any(array(select id from gone))
)
select id from gone
