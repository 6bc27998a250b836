import os

import pytest

from stages.consolidation import workers
from stages.consolidation.workers import Workers, worthwhile


def square(number):
    if number == 13:
        raise ValueError("thirteen")
    return number * number, os.getpid()


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_tasks(count):
    with Workers(count) as pool:
        results = list(pool.run(square, range(10)))
        assert [result for result, _ in results] == [number * number for number in range(10)]
        assert (os.getpid() in {process for _, process in results}) == (count == 1)
        with pytest.raises(ValueError, match="thirteen"):
            list(pool.run(square, range(20)))


def test_few_tasks_are_taken_ahead_of_their_turn():
    taken = []

    def tasks():
        for number in range(12):
            taken.append(number)
            yield number

    with Workers(2) as pool:
        results = pool.run(square, tasks())
        next(results)
        assert len(taken) <= 6


def test_more_processes_are_started_only_for_much_data(monkeypatch):
    monkeypatch.setattr(workers, "available_cores", lambda: 4)
    assert worthwhile(workers.PARALLEL_BYTES - 1) == 1
    assert worthwhile(workers.PARALLEL_BYTES) == 4
