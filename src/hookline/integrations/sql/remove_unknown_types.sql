-- remove_unknown_types: remove at most `most` names of unknown event types that were last seen before
-- `edge`.
delete from unknown_event_types
where name = any(array(
    select name
    from unknown_event_types
    where last_seen_at < :edge
    limit :most
))
returning name
