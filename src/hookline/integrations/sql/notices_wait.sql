-- notices_wait: whether any notice waits, or is to be made of exhausted deliveries.
select exists (select from notices) or exists (
    select
    from exhausted_deliveries
    where
-- include exhausted_is_due
)
