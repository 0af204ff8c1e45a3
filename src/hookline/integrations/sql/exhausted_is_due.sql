    -- its minute is over; what lies further ahead is from before the clock went back
    due_at not between now() + interval '1 microsecond' and now() + interval '2 minutes'
