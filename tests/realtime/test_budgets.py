"""The token bucket, with a clock of the test's own."""

from rtlab.realtime.budgets import Bucket


def test_a_burst_then_the_rate():
    bucket = Bucket(per_s=2, burst=3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)


def test_it_never_holds_more_than_a_burst():
    bucket = Bucket(per_s=10, burst=2, now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_breaches_count_until_the_burst_has_come_back():
    bucket = Bucket(per_s=1, burst=2, now=0.0)
    for _ in range(5):
        bucket.take(0.0)
    assert bucket.breaches == 3
    bucket.take(1.0)
    assert bucket.breaches == 3, "one token back is no full bucket"
    bucket.take(10.0)
    assert bucket.breaches == 0


def test_a_clock_that_goes_back_gives_nothing():
    bucket = Bucket(per_s=1, burst=1, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


def test_what_costs_more_takes_more():
    bucket = Bucket(per_s=1, burst=10, now=0.0)
    assert bucket.take(0.0, 8)
    assert not bucket.take(0.0, 3)
    assert bucket.take(1.0, 3)


def test_what_costs_more_than_a_burst_waits_for_a_full_bucket():
    bucket = Bucket(per_s=1, burst=10, now=0.0)
    assert bucket.take(0.0, 1)
    assert not bucket.take(0.5, 25)
    assert bucket.take(1.0, 25)
    assert not bucket.take(15.0, 1), "it is owed"
    assert bucket.take(17.0, 1)


def test_whoever_does_it_in_any_case_waits_for_what_is_owed():
    bucket = Bucket(per_s=10, burst=5, now=0.0)
    assert bucket.debt(0.0, 5) == 0
    assert bucket.debt(0.0, 5) == 0.5
    assert bucket.debt(0.5, 1) == 0.1


def test_a_full_bucket_need_not_be_kept():
    bucket = Bucket(per_s=1, burst=2, now=0.0)
    assert bucket.is_full(0.0)
    bucket.take(0.0)
    assert not bucket.is_full(0.5)
    assert bucket.is_full(1.0)
