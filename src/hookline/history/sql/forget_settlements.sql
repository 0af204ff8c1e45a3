-- forget_settlements: delete up to :most counted entries of the log that were written before :edge.
delete from settlements
where id in (
    select id from settlements where counted and settled_at < :edge order by id limit :most
)
