"""What is left of a figure in a page once it is cleaned up."""

CLEAN_UP = """async (control) => {
    const mount = document.querySelector(".lr-mount");
    const root = mount.querySelector(".lr-figure");
    const slider = root.querySelector(`[data-control=${control}]`);
    mount.lrCleanup();
    const value = mount.lrModel.get(control);
    slider.value = 2;
    slider.dispatchEvent(new Event("input"));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const listeners = [...mount.lrModel.listeners.values()].reduce((n, set) => n + set.size, 0);
    return [root.isConnected, listeners, mount.lrModel.get(control) === value];
}"""


def check_cleaning_up_stops_everything(page, control, play="Play the training"):
    """Press the button ``play``, clean up, and move the slider ``control`` of the removed figure: nothing is left."""
    page.get_by_role("button", name=play).click()
    assert page.evaluate(CLEAN_UP, control) == [False, 0, True]
