from stages.training.history import write_history


def test_what_an_epoch_did_not_measure_is_empty(tmp_path):
    write_history(tmp_path / "h.csv", [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 1e-9, "mAP": 1 / 3}])
    assert (tmp_path / "h.csv").read_text() == "epoch,lr,mAP\n1,0.1,\n2,1e-09,0.33333333\n"
