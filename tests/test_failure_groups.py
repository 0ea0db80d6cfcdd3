from bandsight.failure_groups import grouped


def test_scenes_with_the_same_failure_are_one_line():
    rows = [(f"/data/{n}.tif", f"/data/{n}.tif: {n} bands, and nothing says which bands these are") for n in range(9)]
    rows.append(("/data/x.tif", "/data/x.tif: no CRS, so it cannot be placed on Earth"))
    lines = grouped(rows)
    assert len(lines) == 2
    assert lines[0].startswith("9 scenes (0.tif, 1.tif, 2.tif and 6 more): 0 bands, and nothing says")
    assert lines[1] == rows[-1][1]


def test_a_single_failure_keeps_its_whole_reason():
    assert grouped([("a.tif", "too cloudy")]) == ["a.tif: too cloudy"]
    assert grouped([]) == []
