-- forget_roll_ups: delete up to :most roll-ups of days before :edge.
delete from roll_ups
where ctid = any(array(select ctid from roll_ups where day < :edge limit :most))
