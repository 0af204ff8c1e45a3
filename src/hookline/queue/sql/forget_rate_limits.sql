-- forget_rate_limits: drop what says no more than a missing row would: nothing is used up.
delete from rate_limits
where used_until < now() - interval '1 day'
