-- forget_jobs: delete up to :most jobs that ended before :edge. Returns their ids.
delete from jobs
where id = any(array(
    select id from jobs where finished_at < :edge order by id limit :most
))
returning id
