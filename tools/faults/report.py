"""Faults in pages, lines and exit codes: what people and other programs read."""

from faults.fault import Fault

PREDICTION_PAGE = "tests/report/test_prediction_render.py"

FAULTS = (
    Fault(
        "names not escaped in the page",
        "rdvar_jax/report/page/templates.py",
        "autoescape=True,",
        "autoescape=False,",
        ("tests/report/test_page_render.py",),
    ),
    Fault(
        "page counts an equal score as found",
        "rdvar_jax/report/page/verdicts.py",
        "flagged = scores > np.float32(threshold)",
        "flagged = scores >= np.float32(threshold)",
        ("tests/report/test_page_verdicts.py",),
    ),
    Fault(
        "names not quoted in CSV",
        "rdvar_jax/files/replacing.py",
        '    csv.writer(text, lineterminator="\\r\\n").writerow(fields)\n',
        '    text.write(",".join(map(str, fields)) + "\\r\\n")\n',
        ("tests/report/test_prediction_files.py",),
    ),
    Fault(
        "what a user can mend ends with another exit code",
        "rdvar_jax/cli/ending.py",
        "file=sys.stderr)\n    return 2\n",
        "file=sys.stderr)\n    return 1\n",
        ("tests/cli/test_main.py",),
    ),
    Fault(
        "a page of verdicts with the best image first",
        "rdvar_jax/report/page/prediction.py",
        "key=lambda image: -image.result.score",
        "key=lambda image: image.result.score",
        (PREDICTION_PAGE,),
    ),
    Fault(
        "names of files not quoted in addresses",
        "rdvar_jax/report/page/prediction.py",
        "    return quote(os.fsencode(path))\n",
        '    return path.encode(errors="replace").decode()\n',
        (PREDICTION_PAGE,),
    ),
    Fault(
        "score and threshold that differ look equal",
        "rdvar_jax/report/caption.py",
        "if texts[0] != texts[1] or score == threshold:",
        "if texts:",
        ("tests/report/test_caption.py",),
    ),
    Fault(
        "an outline covers its region",
        "rdvar_jax/report/outline.py",
        "        found.append(grown & ~inside)\n",
        "        found.append(grown)\n",
        ("tests/report/test_outline.py",),
    ),
)
