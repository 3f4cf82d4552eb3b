"""What the Tempolite side runs: a module of its own, so that workers import it by name."""

from tempolite import AsyncWorkflowContext, WorkflowContext


def do_nothing(step: int) -> int:
    """An activity that does nothing."""
    return step


def run_steps(ctx: WorkflowContext, steps: int) -> int:
    """Run that many activities, one after the other."""
    for step in range(steps):
        ctx.activity(f"step-{step}", do_nothing, step).get()

    return steps


async def run_steps_async(ctx: AsyncWorkflowContext, steps: int) -> int:
    """Await that many activities, one after the other."""
    for step in range(steps):
        await ctx.activity(f"step-{step}", do_nothing, step)

    return steps
