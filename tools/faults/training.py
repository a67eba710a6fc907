"""Faults in the losses, the train step, the loop and the state."""

from faults.fault import Fault

LOSSES = "tests/training/test_losses.py"
STEP = "tests/training/test_step.py"
LOOP = "tests/training/test_loop.py"

FAULTS = (
    Fault(
        "gradients are not averaged over devices",
        "rdvar_jax/training/step.py",
        "gradients, parts = lax.pmean((gradients, parts), AXIS_NAME)",
        "parts = lax.pmean(parts, AXIS_NAME)",
        (f"{STEP}::test_devices_and_modes_change_nothing",),
    ),
    Fault(
        "mean feature vector is one device's",
        "rdvar_jax/training/losses.py",
        "    if axis_name is not None:\n        mean = lax.pmean(mean, axis_name)\n",
        "",
        (LOSSES,),
    ),
    Fault(
        "weight of the variance loss ignored",
        "rdvar_jax/training/losses.py",
        "loss = loss_model + self.lambda_var * loss_var",
        "loss = loss_model + loss_var",
        (LOSSES,),
    ),
    Fault(
        "decoder stages counted from the other end",
        "rdvar_jax/training/losses.py",
        "student_features[STAGES.index(stage)]",
        "student_features[::-1][STAGES.index(stage)]",
        (LOSSES,),
    ),
    Fault(
        "L1 and L2 swapped",
        "rdvar_jax/training/losses.py",
        'if settings.distance == "l1" else',
        'if settings.distance == "l2" else',
        (LOSSES,),
    ),
    Fault(
        "gradient through the mean vector not stopped",
        "rdvar_jax/training/losses.py",
        "        mean = lax.stop_gradient(mean)\n",
        "        pass\n",
        (LOSSES,),
    ),
    Fault(
        "gradient flows into the teacher",
        "rdvar_jax/training/step.py",
        "targets = lax.stop_gradient(maps)",
        "targets = maps",
        (f"{STEP}::test_no_gradient_flows_into_the_teacher",),
    ),
    Fault(
        "Adam's betas swapped",
        "rdvar_jax/training/step.py",
        "b1=b1, b2=b2, eps=1e-8",
        "b1=b2, b2=b1, eps=1e-8",
        (f"{STEP}::test_the_optimiser_is_torchs_adam",),
    ),
    Fault(
        "several steps of a call in the wrong order",
        "rdvar_jax/training/step.py",
        "            indices.T,\n",
        "            indices.T[::-1],\n",
        (f"{STEP}::test_a_call_takes_its_batches_in_order",),
    ),
    Fault(
        "kept features of the last images missing",
        "rdvar_jax/training/features.py",
        "for start in range(0, count, batch_size):",
        "for start in range(0, count - batch_size + 1, batch_size):",
        ("tests/training/test_features.py",),
    ),
    Fault(
        "a resumed run drops the line of its last step",
        "rdvar_jax/training/writer.py",
        'if line["step"] <= step]',
        'if line["step"] < step]',
        ("tests/training/test_writer.py",),
    ),
    Fault(
        "hashes of a checkpoint not checked",
        "rdvar_jax/training/manifest.py",
        "if found[name] != digest:",
        "if not found[name]:",
        ("tests/training/test_checkpoint.py",),
    ),
    Fault(
        "no fallback to the checkpoint before",
        "rdvar_jax/training/checkpoint.py",
        "                continue\n            return read(step), saved",
        "                break\n            return read(step), saved",
        ("tests/training/test_checkpoint.py",),
    ),
    Fault(
        "manifest of an old step stops every command",
        "rdvar_jax/training/manifest.py",
        "    except (DamagedFile, ValueError) as error:",
        "    except ValueError as error:",
        ("tests/training/test_checkpoint.py",),
    ),
    Fault(
        "checkpoint without its manifest is deleted",
        "rdvar_jax/training/checkpoint.py",
        "        os.replace(self.folder / str(step), aside)\n",
        "        shutil.rmtree(self.folder / str(step))\n",
        ("tests/training/test_checkpoint.py",),
    ),
)
