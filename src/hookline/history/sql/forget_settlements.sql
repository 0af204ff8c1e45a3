-- forget_settlements: delete up to :most counted entries of the log that were written before :edge, but for the
-- newest of them: by it a reader tells lower numbers, which are forgotten, from those that can't be seen yet.
with past as (
    select id from settlements where counted and settled_at < :edge order by id limit :most + 1
)
delete from settlements
where id in (select id from past) and id < (select max(id) from past)
