-- erase_payloads: leave of these events' payloads what their other columns say; all ids are from :low to :high.
update events
set
    payload = convert_to(
        '{"id"\:' || to_json(subject)
            || case when pbx is null then '' else ',"pbx"\:' || to_json(pbx) end
            || ',"company"\:' || to_json(company) || ',"time"\:' || time
            || ',"type"\:' || to_json(type) || '}',
        'UTF8'
    ),
    splice = 1,
    erased_at = coalesce(erased_at, now())
where id = any(cast(:ids as uuid[])) and id >= :low and id <= :high
