-- remove_ended_keys: remove at most `most` keys that ended before `edge`. A revoked admin key stays:
-- the settings could name it, and it would be made anew.
delete from api_keys
where id = any(array(
    select id
    from api_keys
    where coalesce(revoked_at, expires_at) < :edge
        and (revoked_at is null or role <> 'admin')
    limit :most
))
returning id
