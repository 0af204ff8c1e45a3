-- remove_deliveries: remove the finished deliveries $1 and their attempts, all of the day whose
-- partitions stand for `deliveries_day` and `attempts_day`.
with attempted as (
    delete from attempts_day
    where delivery_id = any($1::uuid[])
)
delete from deliveries_day
where id = any($1::uuid[])
