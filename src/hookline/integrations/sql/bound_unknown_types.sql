-- bound_unknown_types: keep the :most names that were seen most often.
-- Whoever makes names up makes each up once: what really comes outlasts those.
delete from unknown_event_types
where name in (
    select name
    from unknown_event_types
    order by count desc, last_seen_at desc
    offset :most
)
