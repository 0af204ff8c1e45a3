-- remove_health: remove at most `most` rows of health whose integrations are gone.
delete from integration_health
where integration_id = any(array(
    select integration_id
    from integration_health
    where not exists (
        select from integrations
        where integrations.id = integration_id and deleted_at is null
    )
    limit :most
))
returning integration_id
