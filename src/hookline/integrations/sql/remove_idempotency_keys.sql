-- remove_idempotency_keys: remove at most `most` results of creations of `edge` or before.
delete from idempotency_keys
where (caller, digest) in (
    select caller, digest
    from idempotency_keys
    where created_at <= :edge
    limit :most
)
returning digest
